"""All SQL of Filas: one module for each family of tables, over one `postgres.database.Database` per process.

No other package imports asyncpg.
"""
