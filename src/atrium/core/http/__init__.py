"""The HTTP edge: what surrounds every answer, and what doors need to read a request."""
