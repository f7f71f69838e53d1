"""The report of a run: a folder of pages in which every number opens down to code and votes.

``build`` puts the folder together out of ``shards`` (data that a page loads when it needs them)
and ``static`` (the pages themselves); ``server`` serves it, and has snippets labelled.
"""
