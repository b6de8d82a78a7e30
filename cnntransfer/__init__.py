"""cnntransfer: transfer learning for image classification, from the command line, in Keras."""

__version__ = "0.1.0"
