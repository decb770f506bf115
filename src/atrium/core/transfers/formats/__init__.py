"""Files as rows: `ndjson` and `separated` (CSV) read and write them, `cells` turns text into values and back, `columns`
judges the first line.
"""
