"""Name to class: entry points and the catalogues, read without importing any component."""
