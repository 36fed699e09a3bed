-- The manifest: what the extension consists of, in the order in which it is installed. Only prose
-- and \ir lines, and nothing is in the extension that is not listed here.
--
-- A run's life. define_flow or create_flow stores a version of a workflow, once it is a graph
-- without cycles (definition). start_flow writes a row for the run and each of its steps, and what
-- waits for nothing becomes ready (run/start, step/start_run, step/ready). A ready step gets its
-- tasks: one, or one an item, each a row and a message in a pgmq queue (step/tasks,
-- step/queue_tasks, queue/send). A worker claims messages and is given their tasks with a lease
-- (task/claim), keeps the lease (task/extend), and reports an output or an error (task/complete,
-- task/fail) or dies, which the next claim or sweep notices (task/lapse, tend/sweep). The last task
-- of a step ends it (step/end), and the steps that waited for it become ready; the last step ends the
-- run, and its callbacks become tasks (step/end_run, step/kind/callback). People steer the run
-- (run/), look at it (inspect/) and mend what an accident broke (mend/).
--
-- Folders are floors: base < queue < definition < step < worker < task < run < goal < learn < tend < inspect < mend
-- < access. A function calls its own floor or those below; tests-py/rooms holds it.

-- Base: the schema, settings, the clock, ids, whose database this is, who may call what.
\ir base/schema.sql
\ir base/settings.sql
\ir base/limits.sql
\ir base/clock.sql
\ir base/texts.sql
\ir base/uuid.sql
\ir base/version.sql
\ir base/audit.sql
\ir base/isolation.sql
\ir base/identity.sql
\ir base/levels.sql

-- Tables and row types of everything that is defined and runs.
\ir definition/tables.sql
\ir queue/tables.sql
\ir run/tables.sql
\ir step/tables.sql
\ir step/types.sql
\ir task/tables.sql
\ir task/types.sql
\ir worker/tables.sql
\ir goal/tables.sql
\ir learn/tables.sql
\ir tend/tables.sql

-- Queue: where tasks wait, and the only statements that touch pgmq's tables.
\ir queue/trust.sql
\ir queue/lanes.sql
\ir queue/task_of.sql
\ir queue/ensure.sql
\ir queue/front.sql
\ir queue/read.sql
\ir queue/ahead.sql
\ir queue/delay.sql
\ir queue/due.sql
\ir queue/default.sql
\ir queue/send.sql
\ir queue/remove.sql
\ir queue/notify.sql
\ir queue/setup.sql

-- Definition: workflows, their versions, steps and edges.
\ir definition/kinds.sql
\ir definition/lock.sql
\ir definition/cycle.sql
\ir definition/shown.sql
\ir definition/condition.sql
\ir definition/condition_paths.sql
\ir definition/condition_problems.sql
\ir definition/template.sql
\ir definition/keys.sql
\ir definition/options.sql
\ir definition/elements.sql
\ir definition/names.sql
\ir definition/validate.sql
\ir definition/gate_problems.sql
\ir definition/kind_problems.sql
\ir definition/limit_problems.sql
\ir definition/canonical.sql
\ir definition/limits.sql
\ir definition/missing.sql
\ir definition/store.sql
\ir definition/supersede.sql
\ir definition/facts.sql
\ir definition/hidden.sql
\ir definition/graph_tasks.sql
\ir definition/schema.sql
\ir definition/graph_problems.sql
\ir definition/plan.sql
\ir definition/define.sql
\ir definition/create.sql
\ir definition/add_step.sql
\ir definition/get.sql
\ir definition/test_condition.sql
\ir definition/diff.sql
\ir definition/list.sql
\ir definition/delete.sql

-- Step: it becomes ready, gets tasks, ends, fails; and with the first and the last of its steps a run
-- begins and ends.
\ir step/kind/callback.sql
\ir step/queue_tasks.sql
\ir step/kind/sleep.sql
\ir step/kind/wait.sql
\ir step/kind/flow.sql
\ir step/kind/deadline.sql
\ir step/settled.sql
\ir step/output.sql
\ir step/misfits.sql
\ir step/hand_over.sql
\ir step/tree.sql
\ir step/uncounted.sql
\ir step/turns.sql
\ir step/announce.sql
\ir step/end_run.sql
\ir step/give_up.sql
\ir step/fail.sql
\ir step/kind/map.sql
\ir step/limit.sql
\ir step/limit_keys.sql
\ir step/tasks.sql
\ir step/gate.sql
\ir step/kind/loop.sql
\ir step/ready.sql
\ir step/end.sql
\ir step/retry.sql
\ir step/pause.sql
\ir step/tree_work.sql
\ir step/check_start.sql
\ir step/start_in_turn.sql
\ir step/tickets.sql
\ir step/start_run.sql

-- Worker: who has been working, and what one offers to do.
\ir worker/offer.sql
\ir worker/paused.sql
\ir worker/register.sql
\ir worker/stop.sql
\ir worker/seen.sql

-- Task: what workers call. Claim it, report it, keep it, hand it back, and what happens when nobody
-- does.
\ir task/go_on.sql
\ir task/failure.sql
\ir task/lapse.sql
\ir task/park.sql
\ir task/claim_plain.sql
\ir task/limits.sql
\ir task/claim_messages.sql
\ir task/hand_out.sql
\ir task/claim.sql
\ir task/report.sql
\ir task/answer.sql
\ir task/output.sql
\ir task/hold_steps.sql
\ir task/record.sql
\ir task/complete.sql
\ir task/pass_on.sql
\ir task/hand_over.sql
\ir task/fail.sql
\ir task/extend.sql
\ir task/hold.sql
\ir task/progress.sql
\ir task/left_work.sql
\ir task/release.sql
\ir task/plan.sql
\ir task/start_children.sql
\ir task/children.sql
\ir task/settle.sql

-- Run: what people call. Start it, steer it, look at it.
\ir run/hold.sql
\ir run/count.sql
\ir run/start.sql
\ir run/start_ready_steps.sql
\ir run/cancel.sql
\ir run/pause.sql
\ir run/resume.sql
\ir run/paused.sql
\ir run/pause_queue.sql
\ir run/resume_queue.sql
\ir run/pause_flow.sql
\ir run/resume_flow.sql
\ir run/pause_command.sql
\ir run/resume_command.sql
\ir run/run_now.sql
\ir run/retry.sql
\ir run/delete.sql
\ir run/unkept.sql
\ir run/prune.sql
\ir run/look.sql
\ir run/failed_items.sql
\ir run/list_outputs.sql
\ir run/status.sql
\ir run/list.sql
\ir run/bulk.sql
\ir run/cancel_runs.sql
\ir run/pause_runs.sql
\ir run/resume_runs.sql
\ir run/retry_runs.sql
\ir run/delete_runs.sql
\ir run/failures.sql
\ir run/send_signal.sql
\ir run/announce_end.sql
\ir run/list_waits.sql
\ir run/set_limit.sql
\ir run/remove_limit.sql

-- Goal: what is to be done, in words or as a graph of tasks, and the workflow that it comes to.
\ir goal/settings.sql
\ir goal/options.sql
\ir goal/configure_orchestrator.sql
\ir goal/describe_command.sql
\ir goal/register_decomposer.sql
\ir goal/add_method.sql
\ir goal/list_methods.sql
\ir goal/expand.sql
\ir goal/decompose.sql
\ir goal/create_flow_from_graph.sql
\ir goal/tell.sql
\ir goal/go_on.sql
\ir goal/move.sql
\ir goal/begin.sql
\ir goal/decompose_goal.sql
\ir goal/execute_goal.sql
\ir goal/execute_goals.sql
\ir goal/status.sql
\ir goal/list.sql
\ir goal/cancel.sql

-- Learn: other settings for a workflow that its past speaks for, tried, adopted, rolled back.
\ir learn/wealth.sql
\ir learn/facts.sql
\ir learn/simulate.sql
\ir learn/recommend.sql
\ir learn/store_tuned.sql
\ir learn/propose.sql
\ir learn/put_to_work.sql
\ir learn/observe.sql
\ir learn/advance.sql
\ir learn/optimize.sql
\ir learn/history.sql

-- Tend: what time brings.
\ir tend/cron.sql
\ir tend/next_time.sql
\ir tend/next_times.sql
\ir tend/held_schedule.sql
\ir tend/schedule.sql
\ir tend/unschedule.sql
\ir tend/pause_schedule.sql
\ir tend/resume_schedule.sql
\ir tend/due_times.sql
\ir tend/start_due.sql
\ir tend/turns.sql
\ir tend/settle.sql
\ir tend/sweep.sql
\ir tend/advance_clock.sql

-- Inspect: views for people, the rules that must always hold, and what is not well.
\ir inspect/views.sql
\ir inspect/attempts.sql
\ir inspect/timeline.sql
\ir inspect/recent_events.sql
\ir inspect/history.sql
\ir inspect/critical_path.sql
\ir inspect/why.sql
\ir inspect/list_queues.sql
\ir inspect/list_pauses.sql
\ir inspect/list_workers.sql
\ir inspect/list_sizes.sql
\ir inspect/list_schedules.sql
\ir inspect/stats.sql
\ir inspect/eta.sql
\ir inspect/metrics.sql
\ir inspect/list_limits.sql
\ir inspect/check_state.sql
\ir inspect/check_definitions.sql
\ir inspect/check_messages.sql
\ir inspect/check_slots.sql
\ir inspect/check_steps.sql
\ir inspect/check_gates.sql
\ir inspect/check_loops.sql
\ir inspect/check_waits.sql
\ir inspect/check_rows.sql
\ir inspect/check_children.sql
\ir inspect/doctor.sql
\ir inspect/doctor_rights.sql
\ir inspect/doctor_queues.sql
\ir inspect/doctor_pauses.sql
\ir inspect/doctor_work.sql
\ir inspect/doctor_schedules.sql
\ir inspect/doctor_limits.sql

-- Mend: after a restore, a copy, or an accident.
\ir mend/messages.sql
\ir mend/adopt.sql
\ir mend/send_again.sql
\ir mend/repair.sql
\ir mend/rebuild_queues.sql

-- Access: who may call what, how calls are planned, and what pg_dump carries.
\ir access/configure.sql
\ir access/grant.sql
\ir access/revoke.sql
\ir access/help.sql
\ir access/rights.sql
\ir access/pgmq.sql
\ir access/planner.sql
\ir access/backup.sql
