create table quantumflow.settings (
  name  text not null,
  value text not null,
  constraint settings_pkey primary key (name),
  constraint settings_name_known check (name in ('test_clock', 'identity'))
);

comment on table quantumflow.settings is
'What an installation changes from the defaults. No row means the default.';
comment on column quantumflow.settings.name is
'test_clock: "on" lets the setting quantumflow.now replace the clock; for tests only, default "off".
identity: which database the runs belong to; see adopt().';
comment on column quantumflow.settings.value is
'The value, as text.';
