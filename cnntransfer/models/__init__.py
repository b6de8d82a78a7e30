"""The networks: the backbone table, pretrained weights, the classifier, its conversion."""
