-- Nine of ten transactions of the read-mostly mix: one account by its key.
\set aid random(1, 100000 * :scale)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
