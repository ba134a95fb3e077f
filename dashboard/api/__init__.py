"""API: the operations below /api/v1, one module for each part."""
