"""From GitHub, or a folder, to snippets on disk. Knows nothing of models or verdicts."""
