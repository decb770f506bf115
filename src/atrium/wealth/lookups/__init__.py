"""What the assistant can be asked about a book: exact figures, under the row policy of whoever asks."""
