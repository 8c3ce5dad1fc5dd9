"""Alembic's entry: migrations run inside the transaction and role that `shared.database.migrate` has opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    transaction_per_migration=False,
    version_table="alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
