"""From files to labelled images: finding, decoding, splitting, augmenting."""
