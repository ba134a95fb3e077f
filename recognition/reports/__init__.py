"""Reports: what an audit found, as a page for people and as files for programs."""
