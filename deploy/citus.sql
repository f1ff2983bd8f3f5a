-- Distributes the tenants' tables over the workers of a Citus cluster, by tenant_id: all rows of one tenant are on one
-- worker, and a transaction of a tenant goes to that one. Run once, by the owner of the tables, after cip's first start has
-- made them; rows that are there are taken along. docs/scaling.md says what comes before and after.
--
-- Kept on the coordinator are the tables of the whole installation (migrations, instance_keys), and of the tenants' the
-- buckets of the limits: a take reads the clock once it holds the lock of its row, which Citus sends to no worker.
-- on the coordinator: buckets

begin;
-- One tenant can be moved to a worker of its own; a group of their own keeps tables of others out of that.
select create_distributed_table('conversations', 'tenant_id', colocate_with => 'none');
select create_distributed_table('turns', 'tenant_id', colocate_with => 'conversations');
select create_distributed_table('users', 'tenant_id', colocate_with => 'conversations');
select create_distributed_table('budgets', 'tenant_id', colocate_with => 'conversations');
commit;
