"""Index sets: a Release or repomd.xml with the indexes that it names, fetched and verified as one, replaced as one."""
