"""All of Filas's SQL: one module a table family, over one `database.Database` a process. Only here is asyncpg known."""
