"""Who may post: one module a scheme, behind `scheme.Scheme`, listed in `registry`."""
