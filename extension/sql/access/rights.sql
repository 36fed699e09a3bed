-- PostgreSQL lets everybody execute a new function. Here nobody may, until access is granted.
revoke all on all functions in schema quantumflow from public;
