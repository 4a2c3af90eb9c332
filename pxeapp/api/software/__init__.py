"""`/software/...`: media, repositories, mirrors, snapshots, bundles, the cache, and the tasks that work on them."""
