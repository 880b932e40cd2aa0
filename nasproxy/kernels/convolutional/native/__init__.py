"""Planes on a CPU, in Numba: one image against a vector's worth of others.

Arrays are ``[row, column·lane]``: a shift by a pixel is one by ``lanes``, and inner loops run over
pairs and columns alike. A plane lies in a ring of zeros, which is the padding.

What the speed hangs on: no index arithmetic within the inner loops (slices are taken before), work
arrays made once a thread, and no branch and no function of a library an entry.
"""
