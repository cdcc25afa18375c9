"""Accounts, the journal and its hash chain, holds, policy versions, statements, audit."""
