"""The HTTP doors of a resource, by what they do: `reading`, `writing`. `path` is what they share."""
