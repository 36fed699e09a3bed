alter table quantumflow.workflow_runs add column paused_at timestamptz;
