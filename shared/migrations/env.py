"""Alembic's entry: migrations run inside the transaction and role that `shared.database.migrate` has opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
    version_table="alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
