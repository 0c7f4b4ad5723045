"""The families of problems by theme; the shelf in the folder above lists them."""
