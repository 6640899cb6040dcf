"""The environments in which policies are collected and deployed."""
