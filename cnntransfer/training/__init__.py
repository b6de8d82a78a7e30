"""From images to a bundle: features, stages, the run."""
