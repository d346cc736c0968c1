"""Two implementations of the cache, driven side by side: every answer must be the same.

twins        two caches, one call for both, and the comparison
operations   the state machine: any operation of the contract, with right and wrong arguments
blobs        what another implementation's compressors make of a page
broken       caches that are wrong in one small way, to prove that the machine finds it out
"""
