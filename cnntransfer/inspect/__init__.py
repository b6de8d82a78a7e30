"""What a network or a single layer is made of: tables, formulas, a drawing."""
