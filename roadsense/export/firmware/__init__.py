"""The C sources that an export is made of: real files, so that compilers and editors can read them."""
