"""Recognition on a Ray cluster: what runs on its nodes, and what collects the answers."""
