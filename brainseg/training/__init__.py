"""One cell: built, trained or continued, scored, written."""
