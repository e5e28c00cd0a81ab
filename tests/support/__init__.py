"""What tests share: applications, servers, clients, databases."""
