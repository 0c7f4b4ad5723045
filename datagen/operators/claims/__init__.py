"""Claims: operators that verify what a row says of itself and write what they found."""
