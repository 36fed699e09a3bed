"""What the tests share, and the SQL test runner with them."""
