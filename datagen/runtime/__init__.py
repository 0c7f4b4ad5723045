"""Where work runs: parts mapped over workers, and one shared object hosted for all of them; no more."""
