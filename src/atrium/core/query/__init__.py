"""The list language (decisions.md §2): parameters → one AST (`ast`), read by `parse`, turned into SQL by `build`."""
