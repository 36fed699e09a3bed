create function quantumflow.define_flow(definition jsonb)
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $define_flow$
begin
  return quantumflow._store_definition(define_flow.definition, p_may_be_empty => false);
end
$define_flow$;

comment on function quantumflow.define_flow(jsonb) is
'Defines a workflow from a whole definition, and makes its queues.

The same content again, whatever the order of the steps, is the same version, and becomes current again: a rollback.
Other content replaces the current version while no run has used it; once a run has, it becomes the next version,
and runs that are on keep theirs. It waits for transactions that start or change the same workflow.
Errors: QF101 wrong structure; QF102 unknown key; QF103 bad or reserved slug; QF104 duplicate step; QF105 unknown dependency;
QF106 a step that depends on itself; QF107 a cycle; QF108 a map without one thing to map over; QF109 no steps;
QF110 bad queue name; QF114 a workflow whose slug differs only in case; QF115 a definition that is too large or has too many
steps; QF116 too long a chain of steps; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.
DETAIL lists every problem, one a line.';
