"""Features on a CPU at the speed of its vector units; needs Numba, the extra ``fast``.

The lanes of a vector are images, and a network is a table of integers: nothing compiles per
architecture or shape. Passes that proxies look into go back through it, too (``recorded``), and
curvature (``pushing``). Training, other layers' gradients, accelerators and layers of one's own
stay with XLA; where both compute, they test each other.
"""
