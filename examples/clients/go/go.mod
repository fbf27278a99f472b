module example.com/kms-client

go 1.19
