"""Imports and exports: the records of any resource as CSV or NDJSON, in and out, in constant memory.

transfer: one import or one export of somebody. cell: the text of one field in one row. chunk: a piece of a stored file.
head: the first piece of a file, which tells its columns.

`doors` opens both for every resource, `controllers` shows how far one is and hands its file out, `imports` and
`exports` do the work, `jobs` runs it in the background, `chunks` keeps the bytes where every process finds them.
"""
