"""Outbox: alerts on the disk until their receivers have accepted them (transactional outbox)."""
