create function quantumflow.define_flow(
  definition    jsonb,
  workflow_slug text default null,
  rollback      boolean default true
)
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $define_flow$
begin
  return quantumflow._store_definition(
    define_flow.definition, p_may_be_empty => false, p_workflow_slug => define_flow.workflow_slug,
    p_rollback => coalesce(define_flow.rollback, true));
end
$define_flow$;

comment on function quantumflow.define_flow(jsonb, text, boolean) is
'Defines a workflow from a whole definition, and makes its queues.

The same content again, whatever the order of the steps, is the same version, and becomes current again: a rollback.
Other content replaces the current version while no run has used it; once a run has, or somebody''s open transaction may have started
one, it becomes the next version, and runs that are on keep theirs. It waits for transactions that change the same workflow, unless its
content is the current version''s, and for none that starts runs.

workflow_slug: the workflow, where the definition has no "slug"; where it has one, the same.
rollback: false, for a program that defines its workflows whenever it starts, as an old one may do beside a new one: content that the
workflow has had before a later version leaves that one current, and the older one is returned. Other content is the next version
even if no run has used the current one.
Errors: QF101 wrong structure; QF102 unknown key; QF103 bad or reserved slug, or not the one beside it; QF104 duplicate step;
QF105 unknown dependency;
QF106 a step that depends on itself; QF107 a cycle; QF108 a map without one thing to map over; QF109 no steps;
QF110 bad queue name; QF114 a workflow whose slug differs only in case; QF115 a definition that is too large or has too many
steps; QF116 too long a chain of steps; QF117 bad condition; QF118 what does not go together with a join, a condition or a failure; QF119 a step
that starts runs of a workflow, or version, that does not exist; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.
DETAIL lists every problem, one a line.';
