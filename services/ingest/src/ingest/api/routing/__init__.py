"""What every route uses: types, access, parsing, problem documents, OpenAPI."""
