"""Networks of the textbooks, one module each, in the dimensions of their papers.

Keras has no weights for them: they are there to be taken apart, to be trained from random weights
and to be compared with what transfer gives. What differs from the paper is said in each module.

Local response normalisation, which AlexNet, ZFNet and GoogLeNet had, is left out: it holds no
parameter, it "does not improve on the model A without any normalisation layers" (Simonyan &
Zisserman 2014, arXiv:1409.1556, section 4.1), and Keras has no layer for it, so that a saved model
would not open without this package.

Kernels of layers with ReLU begin as He et al. 2015 (arXiv:1502.01852) propose, which came after
most of these papers: deep networks without normalisation do not begin to learn otherwise.
"""
