create table quantumflow.queues (
  queue   text not null,
  archive boolean not null default false,
  constraint queues_pkey primary key (queue),
  constraint queues_name_well_formed check (queue ~ '^[a-z][a-z0-9_]{0,46}$')
);

comment on table quantumflow.queues is
'Settings of queues. No row means the defaults; the queue itself is pgmq''s. A row is also the owner''s word that quantumflow may use a
queue that it has not made.';
comment on column quantumflow.queues.queue is
'The queue''s name: a lower-case letter, then letters, digits and underscores, at most 47.';
comment on column quantumflow.queues.archive is
'Whether a finished task''s message goes to pgmq''s archive instead of being deleted; default false, since the task row is the history.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._system_queue()
returns text
language sql
immutable
return 'quantum_flow_system';

comment on function quantumflow._system_queue() is
'The queue of what no worker is given: sleeps, waits, children and deadlines of runs. settle() alone reads it.';

create table quantumflow._own_queues (
  queue text not null,
  constraint _own_queues_pkey primary key (queue)
);

comment on table quantumflow._own_queues is
'The queues that quantumflow has made, or was allowed to use: nobody''s tasks come from, or go to, another.';
comment on column quantumflow._own_queues.queue is 'The queue''s name.';
