"""Statements for people: as a table, as a page, as a PDF; and the month's run over all contracts."""
