"""From snippets to votes, placements, numbers, tables and figures."""
