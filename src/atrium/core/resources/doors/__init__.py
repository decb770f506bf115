"""The HTTP doors of a resource, by what they do: `reading`, `writing`, `bulk`. `path` is what they share."""
