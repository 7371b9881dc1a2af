"""Dynamic-weight rankers: models, layers, data, loop, metrics and the published form."""
